//! SMART App Launch as data: scopes, launch values, PKCE, discovery.
