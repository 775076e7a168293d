//! The product on SQLite: the schema, readers over views, and the whole server over real sockets.

mod checker;
mod command_line;
mod crash;
mod delivery;
mod hostile;
mod http;
mod jwks;
mod jwt;
mod model;
mod prepare;
mod readers;
mod rooms;
mod schema;
mod shared;
mod sign_in_flags;
mod support;
mod tokens;
