//! A configuration as text: its files, words and tree, and what single words mean.

pub mod files;
pub mod lexer;
pub mod names;
pub mod pems;
pub mod tree;
pub mod tree_error;
pub mod value;
