//! What tests the house as a whole: golden cases of the Python libraries, and what holds for every method on
//! every model.

pub mod golden;
