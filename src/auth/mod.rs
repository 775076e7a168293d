//! From a token to a [`Viewer`](crate::domain::Viewer).
//!
//! There are two ways to sign in. **Guests** sign in with a name, and this server signs their
//! tokens. With **JWT**, an identity provider signs the tokens, and this server only checks them.
//! [`Auth`] hides the difference.
//!
//! - **A1** An invalid token is refused; its caller never becomes anonymous. If a token cannot be
//!   checked now, the answer says so.
//! - **A2** A key verifies only the algorithms of its kind. Keys and key URLs in a token are
//!   ignored.
//! - **A3** Tokens, secrets and keys appear in no log, error or debug output.
//! - **A4** A revoked token is refused as soon as `signOut` is answered, also after a restart.
//!   Other processes on the same database refuse it a moment later
//!   ([`AuthLimits::revocations_check_interval`]).
//! - **A5** A token of a known user costs no call to the database.
//!
//! These are proved in `tests/it/tokens.rs` and `tests/it/jwt.rs`.

mod authenticator;
mod error;
mod fetch;
mod given;
mod guest;
mod jwks;
mod jwt;
mod key;
mod lifetime;
mod limits;
mod revocation;
mod session;
mod settings;
mod signer;
mod token;
mod verified;

pub use authenticator::Auth;
pub use error::{SessionError, TokenError};
pub use fetch::{JwksUrl, JwksUrlError};
pub use given::{bearer_token, only_value};
pub use key::{Key, KeyError, SECRET_BYTES_MIN};
pub use lifetime::time_left;
pub use limits::AuthLimits;
pub use revocation::Watch;
pub use session::Session;
pub use settings::{JwtSettings, KeySource, SignIn};
pub use signer::Signer;
