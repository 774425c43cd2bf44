//! Tests of the facade through its public interface.

#[cfg(test)]
mod basics;
