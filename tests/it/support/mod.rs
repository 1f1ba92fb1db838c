//! What the tests share.

pub mod db;
