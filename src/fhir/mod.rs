//! R4 as data, free of I/O, SQL, HTTP and users.
