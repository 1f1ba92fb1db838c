//! The demonstration: a simulated PoC and a sample app.
