//! Archives of contexts that tenants send before they ask for builds.

mod check;
mod handlers;
mod receive;
mod shelf;
mod turns;

pub(super) use handlers::routes;
pub(super) use shelf::Shelf;
pub(super) use turns::Turns;
