//! Topics, notifications and channels.
