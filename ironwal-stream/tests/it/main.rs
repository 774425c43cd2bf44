//! Tests of one stream by its two halves, without the facade.

#[cfg(test)]
mod calls;
#[cfg(test)]
mod halves;
#[cfg(test)]
mod index;
#[cfg(test)]
mod making;
#[cfg(test)]
mod odd;
#[cfg(test)]
mod recovery;
#[cfg(test)]
mod replaced;
#[cfg(test)]
mod stretches;
#[cfg(test)]
mod support;
#[cfg(test)]
mod traced;
#[cfg(test)]
mod truncate;
