//! What waits, whose turn it is, and what may start. Pure: no clock, no actor; time is given.
//!
//! A [`FairQueue`] holds entries of tenants, each with what it [claims](Claims) of [resources](Resource) while it
//! runs. Between tenants it shares the time for which entries run, by weight; within a tenant the higher priority
//! goes first, and what waits gets older at the same rate whatever its priority. What is passed over for too long
//! because it is large gets what it is short of reserved.
//!
//! ```
//! use polyarch_actors::{Timestamp, queue::{Claims, Entry, FairQueue, Fairness, Limits, Resource, Tenant}};
//!
//! let mut queue = FairQueue::new(Fairness::default(), Limits::default().with(Resource::Slots, 1));
//! let entry = Entry::new(Tenant::default(), Timestamp(0), Claims::default().with(Resource::Slots, 1));
//! queue.push("first", entry.clone(), Timestamp(0))?;
//! queue.push("second", entry, Timestamp(0))?;
//! assert_eq!(queue.pop(Timestamp(0)), Some("first"));
//! assert_eq!(queue.pop(Timestamp(0)), None);
//! queue.release(&"first", Timestamp(9));
//! assert_eq!(queue.pop(Timestamp(9)), Some("second"));
//! # Ok::<(), polyarch_actors::queue::Refusal>(())
//! ```

mod accounts;
mod entry;
mod fair;
mod limits;
mod line;
mod place;
mod pool;
mod resource;
mod share;
#[cfg(test)]
mod tests;
mod turn;

pub use entry::{Counts, Entry, Fairness, Refusal};
pub use fair::FairQueue;
pub use limits::Limits;
pub use place::{Place, Reason};
pub use resource::{Claims, Resource};
pub use share::{Priority, PriorityError, Share, Tenant, TenantError};
