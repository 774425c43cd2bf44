//! The power-plug suite: files as crashes and rot leave them, each case after a killed writer and
//! after a clean close.
//!
//! After a killed writer nothing on disk shows that the last frame was durable, so it may be torn;
//! one thread appends, so the synced length of each frame covers all before it. After a clean close
//! a floor covers everything, and what is missing is damage.

mod answers;
mod check;
mod index;
mod lookalikes;
mod rot;
mod segments;
mod torn;
mod world;
