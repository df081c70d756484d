//! Over real sockets: what the two limits do, and what a connection past the limit is told.
