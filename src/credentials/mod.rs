//! Credentials: where they come from ([`source`]) and the store that always has the last good
//! ones at hand ([`store`]).
