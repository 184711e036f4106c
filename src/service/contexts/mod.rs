//! Archives of contexts that tenants send before they ask for builds.

mod check;
mod handlers;
mod receive;
mod shelf;

pub(super) use handlers::routes;
pub(super) use shelf::Shelf;
