//! Offshoot.
pub use offshoot_core as core;
pub use offshoot_methods as methods;
pub use offshoot_models as models;
pub use offshoot_train as train;
