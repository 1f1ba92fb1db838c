//! The authorization server surface.
