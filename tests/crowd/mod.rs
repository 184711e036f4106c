//! Two thousand builds of twenty tenants, and a server that is killed under them.

mod ledger;
mod orders;
mod outlives;
mod server;
mod shares;
