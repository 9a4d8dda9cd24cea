//! Whole texts, from bytes to model or diagnostic.
