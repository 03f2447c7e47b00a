"""Public data sets as they are downloaded, organised as BIDS trees."""
