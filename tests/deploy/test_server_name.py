"""A site talks to the consortium's server alone: a certificate of the same authority, for another
name, opens nothing. The engine checks the name when it connects, and again by a challenge.
"""

import contextlib
import socket
import ssl
import threading
from unittest.mock import Mock

import pytest

pytest.importorskip("nvflare", reason="needs the extra deploy")

import grpc
from nvflare.apis.fl_exception import FLCommunicationError
from nvflare.apis.shareable import Shareable
from nvflare.fuel.f3.cellnet.defs import IdentityChallengeKey, MessageHeaderKey, ReturnCode
from nvflare.fuel.f3.drivers.driver_params import DriverParams
from nvflare.fuel.f3.drivers.grpc.utils import get_grpc_client_credentials
from nvflare.fuel.f3.message import Message
from nvflare.private.fed.authenticator import Authenticator
from nvflare.private.fed.utils.identity_utils import CNMismatch, IdentityAsserter

from fedbrain.deploy.nvflare.consortium_file import read_consortium
from fedbrain.deploy.site_side.checks import server as check_server
from tests.faults.consortium import LEAD, Consortium, wait_for

pytestmark = pytest.mark.filterwarnings("ignore")  # the engine's own
HELLO = b"PRI * HTTP/2.0"  # the first bytes of every connection of the engine


class Listener:
    """Plays the server on loopback with any certificate; keeps what it hears after the
    handshake.
    """

    def __init__(self, startup, name):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.load_verify_locations(startup / "rootCA.pem")
        self.context.verify_mode = ssl.CERT_REQUIRED
        self.context.load_cert_chain(startup / f"{name}.crt", startup / f"{name}.key")
        self.context.set_alpn_protocols(["h2"])
        self.knocks, self.heard = 0, b""
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        with contextlib.suppress(OSError):  # closed
            while True:
                plain, _ = self.socket.accept()
                self.knocks += 1
                with contextlib.suppress(OSError):
                    plain.settimeout(10)
                    with self.context.wrap_socket(plain, server_side=True) as encrypted:
                        self.heard += encrypted.recv(1000)

    def close(self):
        self.socket.close()


@pytest.fixture(scope="module")
def consortium(tmp_path_factory):
    folder = tmp_path_factory.mktemp("names")
    (folder / "trees").mkdir()
    return Consortium(folder)


PLAYERS = {"another site": ("birch", "client"), "the lead": (LEAD, "client")}


@pytest.fixture(params=[*PLAYERS, "the server"])
def listener(request, consortium):
    """Everybody with a certificate of this consortium, in the server's place."""
    kit, name = PLAYERS.get(request.param, ("server", "server"))
    made = Listener(consortium.kit(kit) / "startup", name)
    made.genuine = request.param == "the server"
    yield made
    made.close()


def _connect(startup, port):
    """Connects as the engine does at a site."""
    params = {
        DriverParams.CA_CERT.value: str(startup / "rootCA.pem"),
        DriverParams.CLIENT_CERT.value: str(startup / "client.crt"),
        DriverParams.CLIENT_KEY.value: str(startup / "client.key"),
    }
    channel = grpc.secure_channel(f"localhost:{port}", get_grpc_client_credentials(params))
    with contextlib.suppress(grpc.FutureTimeoutError):
        grpc.channel_ready_future(channel).result(timeout=4)
    channel.close()


def test_a_site_says_nothing_to_whoever_is_not_the_server(consortium, listener):
    _connect(consortium.kit("amber") / "startup", listener.port)
    assert listener.knocks
    assert listener.heard.startswith(HELLO) if listener.genuine else not listener.heard


def test_check_says_that_it_is_not_the_server(consortium, listener):
    consortium.find_server_at("amber", listener.port)
    if listener.genuine:
        assert "answers, TLSv1.3" in check_server(consortium.kit("amber"))
    else:
        with pytest.raises(ValueError, match="not with the certificate of this consortium"):
            check_server(consortium.kit("amber"))


def _challenge(consortium, kit, basename, name):
    """The engine's challenge of whoever answers with a kit's certificate, under a name."""
    startup = consortium.kit(kit) / "startup"
    asserter = IdentityAsserter(str(startup / f"{basename}.key"), str(startup / f"{basename}.crt"))
    asserter.cn = name

    def answer(request, **_):
        nonce = request.get_header(IdentityChallengeKey.NONCE)
        reply = Shareable()
        reply[IdentityChallengeKey.NONCE] = "nonce"
        reply[IdentityChallengeKey.COMMON_NAME] = name
        reply[IdentityChallengeKey.CERT] = asserter.cert_data
        reply[IdentityChallengeKey.SIGNATURE] = asserter.sign_common_name(nonce)
        return Message({MessageHeaderKey.RETURN_CODE: ReturnCode.OK}, reply)

    own = consortium.kit("amber") / "startup"
    authenticator = Authenticator(
        cell=Mock(send_request=answer),
        project_name="faults",
        client_name="amber",
        client_type="regular",
        expected_sp_identity="localhost",
        secure_mode=True,
        root_cert_file=str(own / "rootCA.pem"),
        private_key_file=str(own / "client.key"),
        cert_file=str(own / "client.crt"),
        msg_timeout=1.0,
        retry_interval=1.0,
    )
    return authenticator._challenge_server()


def test_the_challenge_is_passed_by_the_server_alone(consortium):
    assert _challenge(consortium, "server", "server", "localhost")[0] == "nonce"
    with pytest.raises(FLCommunicationError, match="expected server identity is 'localhost'"):
        _challenge(consortium, "birch", "client", "birch")
    with pytest.raises(CNMismatch):  # under the server's name, with its own certificate
        _challenge(consortium, "birch", "client", "localhost")


@pytest.mark.parametrize("name", ["fl1", "server", "lead"])
def test_a_site_has_a_name_of_its_own(tmp_path, name):
    path = tmp_path / "c.yaml"
    path.write_text(
        "name: a\nserver: {host: fl1, port: 1, organisation: o}\nlead: lead\n"
        f"sites: {{{name}: c}}\n"
    )
    with pytest.raises(ValueError, match="sites: expected another name than the server's and the"):
        read_consortium(path)


@pytest.mark.slow
@pytest.mark.parametrize("player", [*PLAYERS, "the server"])
def test_a_real_site_says_nothing_to_whoever_is_not_the_server(consortium, player):
    kit, name = PLAYERS.get(player, ("server", "server"))
    made = Listener(consortium.kit(kit) / "startup", name)
    consortium.find_server_at("amber", made.port)
    consortium.start("amber")
    try:
        if player == "the server":
            wait_for(lambda: made.heard.startswith(HELLO), seconds=120)
        else:
            wait_for(lambda: made.knocks >= 3, seconds=120)
            assert not made.heard
    finally:
        consortium.stop()
        made.close()
