//! Databases written by earlier versions.
