//! The meaning of the claims of a provider's token: time, subject, name, operator and audience.
//!
//! These tests call `Auth` without a server, at a time that each test chooses.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use serde_json::{Value, json};
use switchboard::{
    auth::{Auth, AuthLimits, JwtSettings, Key, KeySource, SignIn, TokenError},
    domain::{Identity, Revocation, Subject, Timestamp, TokenId, User, UserId},
    store::{
        Accounts, StoreError,
        sqlite::{Sqlite, SqliteLimits},
    },
};
use tokio_util::task::TaskTracker;

use crate::support::{
    Folder,
    tokens::{key_pem, sign},
};

/// The accounts of a real store. Counts the calls to it.
struct CountingAccounts(Sqlite, AtomicUsize);

impl CountingAccounts {
    fn count(&self) -> &Sqlite {
        self.1.fetch_add(1, Ordering::SeqCst);
        &self.0
    }

    fn calls(&self) -> usize {
        self.1.swap(0, Ordering::SeqCst)
    }
}

#[async_trait]
impl Accounts for CountingAccounts {
    async fn create_user(&self, user: &User) -> Result<(), StoreError> {
        self.count().create_user(user).await
    }

    async fn user(&self, id: &UserId) -> Result<Option<User>, StoreError> {
        self.count().user(id).await
    }

    async fn users(&self, ids: &[UserId]) -> Result<Vec<User>, StoreError> {
        self.count().users(ids).await
    }

    async fn signing_key(&self, candidate: [u8; 32]) -> Result<[u8; 32], StoreError> {
        self.count().signing_key(candidate).await
    }

    async fn subject(
        &self,
        identity: &Identity,
        candidate: &Subject,
        now: Timestamp,
    ) -> Result<Subject, StoreError> {
        self.count().subject(identity, candidate, now).await
    }

    async fn revoke(
        &self,
        token: TokenId,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.count().revoke(token, expires_at, now).await
    }

    async fn is_revoked(&self, token: TokenId) -> Result<bool, StoreError> {
        self.count().is_revoked(token).await
    }

    async fn revocations_head(&self) -> Result<u64, StoreError> {
        self.count().revocations_head().await
    }

    async fn revocations(&self, after: u64, limit: u32) -> Result<Vec<Revocation>, StoreError> {
        self.count().revocations(after, limit).await
    }
}

/// Checks tokens at any time that a test chooses, without a server.
struct Verifier {
    auth: Auth,
    accounts: Arc<CountingAccounts>,
    _folder: Folder,
}

impl Verifier {
    async fn with(change: impl FnOnce(&mut JwtSettings)) -> Self {
        let folder = Folder::new();
        let store = Sqlite::open(&folder.database(), SqliteLimits::default())
            .await
            .unwrap();
        let accounts = Arc::new(CountingAccounts(store, AtomicUsize::new(0)));
        let mut settings = JwtSettings {
            keys: KeySource::Fixed(Box::new(Key::from_pem(&key_pem("ed.pub.pem")).unwrap())),
            issuer: None,
            audience: None,
            leeway: Duration::from_secs(30),
        };
        change(&mut settings);
        let (sign_in, tasks) = (SignIn::Jwt(Box::new(settings)), TaskTracker::new());
        // The tests count calls to the database, so the periodic check is off.
        let limits = AuthLimits {
            revocations_check_interval: Duration::ZERO,
            ..AuthLimits::default()
        };
        let auth = Auth::start(
            sign_in,
            accounts.clone(),
            limits,
            &tasks,
            Arc::new(|| at(NOW)),
        )
        .await
        .unwrap();
        accounts.calls();
        Self {
            auth,
            accounts,
            _folder: folder,
        }
    }

    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn check(
        &self,
        claims: &Value,
        now: i64,
    ) -> Result<switchboard::domain::Viewer, TokenError> {
        self.auth
            .viewer(&sign("ed.pem", None, claims), at(now))
            .await
    }

    async fn name(&self, user: UserId) -> String {
        self.accounts
            .0
            .user(&user)
            .await
            .unwrap()
            .unwrap()
            .name
            .to_string()
    }
}

/// The present of these tests, in seconds since 1970.
const NOW: i64 = 1_700_000_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp(seconds * 1_000_000)
}

#[tokio::test]
async fn times_are_exact_to_the_second_with_the_leeway() {
    let verifier = Verifier::start().await;
    let claims = json!({ "sub": "ann", "exp": NOW + 100, "nbf": NOW });
    for (now, expected) in [
        (NOW - 31, Err(TokenError::Early)),
        (NOW - 30, Ok(at(NOW + 130))),
        (NOW + 129, Ok(at(NOW + 130))),
        (NOW + 130, Err(TokenError::Expired)),
    ] {
        assert_eq!(
            verifier
                .check(&claims, now)
                .await
                .map(|viewer| viewer.expires_at),
            expected,
            "{now}"
        );
    }
    let with_exp = |exp: Value| json!({ "sub": "ann", "exp": exp });
    assert_eq!(
        verifier
            .check(&with_exp(json!(100.5)), 0)
            .await
            .unwrap()
            .expires_at,
        Timestamp(130_500_000)
    );
    // Times out of range are clamped to the end of the year 9999.
    for far in [json!(i64::MAX), json!(u64::MAX), json!(1e300)] {
        let until = verifier
            .check(&with_exp(far.clone()), NOW)
            .await
            .unwrap()
            .expires_at;
        assert_eq!(
            until,
            Timestamp((253_402_300_799 + 30) * 1_000_000),
            "{far}"
        );
    }
}

#[tokio::test]
async fn each_subject_of_an_issuer_is_one_user() {
    let verifier = Verifier::start().await;
    let of =
        |issuer: &str, subject: &str| json!({ "iss": issuer, "sub": subject, "exp": NOW + 60 });
    let user = async |claims: Value| verifier.check(&claims, NOW).await.unwrap().user;
    let ann = user(of("https://a", "ann")).await;
    assert_eq!(user(of("https://a", "ann")).await, ann);
    assert_ne!(user(of("https://b", "ann")).await, ann);
    assert_ne!(user(of("https://a", "Ann")).await, ann);
    assert_ne!(user(json!({ "sub": "ann", "exp": NOW + 60 })).await, ann);
    // A subject is an opaque text and is not parsed.
    for subject in [
        "auth0|5f7c8ec7c33c6c004bbafe82",
        "ann@example.test",
        "usr_00000000000000000000000000000abc",
        " ",
        "ä\u{1f600}",
    ] {
        let first = user(of("https://a", subject)).await;
        assert_eq!(user(of("https://a", subject)).await, first, "{subject:?}");
    }
    // Another server on the same database finds the same user.
    let tasks = TaskTracker::new();
    let again = Auth::start(
        SignIn::Jwt(Box::new(JwtSettings {
            keys: KeySource::Fixed(Box::new(Key::from_pem(&key_pem("ed.pub.pem")).unwrap())),
            issuer: None,
            audience: None,
            leeway: Duration::ZERO,
        })),
        verifier.accounts.clone(),
        AuthLimits::default(),
        &tasks,
        Arc::new(|| at(NOW)),
    );
    let viewer = again
        .await
        .unwrap()
        .viewer(&sign("ed.pem", None, &of("https://a", "ann")), at(NOW))
        .await;
    assert_eq!(viewer.unwrap().user, ann);
}

#[tokio::test]
async fn a5_a_known_subject_costs_no_call_to_the_database() {
    let verifier = Verifier::start().await;
    let claims = |iat: i64| json!({ "sub": "ann", "name": "Ann", "iat": iat, "exp": NOW + 60 });
    verifier.check(&claims(NOW - 5), NOW).await.unwrap();
    assert_eq!(verifier.accounts.calls(), 1);
    for iat in [NOW - 5, NOW - 4, NOW] {
        verifier.check(&claims(iat), NOW).await.unwrap();
    }
    assert_eq!(verifier.accounts.calls(), 0);
    let together = (0..20).map(|_| async {
        verifier
            .check(&json!({ "sub": "bob", "exp": NOW + 60 }), NOW)
            .await
            .unwrap()
            .user
    });
    let users = futures::future::join_all(together).await;
    assert!(users.iter().all(|user| *user == users[0]));
    assert_eq!(
        verifier.accounts.calls(),
        1,
        "concurrent requests share one call"
    );
}

#[tokio::test]
async fn the_name_follows_the_newest_token() {
    let verifier = Verifier::start().await;
    let named =
        |name: &str, iat: i64| json!({ "sub": "ann", "name": name, "iat": iat, "exp": NOW + 60 });
    let ann = verifier
        .check(&named("Ann", NOW - 20), NOW)
        .await
        .unwrap()
        .user;
    assert_eq!(verifier.name(ann).await, "Ann");
    verifier.check(&named("Anna", NOW - 10), NOW).await.unwrap();
    assert_eq!(verifier.name(ann).await, "Anna");
    verifier.accounts.calls();
    verifier.check(&named("Ann", NOW - 20), NOW).await.unwrap();
    assert_eq!(
        (verifier.name(ann).await.as_str(), verifier.accounts.calls()),
        ("Anna", 0),
        "the name and the cache do not change for an older token"
    );

    let called = async |claims: Value| {
        let user = verifier.check(&claims, NOW).await.unwrap().user;
        verifier.name(user).await
    };
    let of = |subject: &str, more: Value| {
        let mut claims = json!({ "sub": subject, "exp": NOW + 60 });
        claims
            .as_object_mut()
            .unwrap()
            .append(&mut more.as_object().unwrap().clone());
        claims
    };
    assert_eq!(
        called(of("s1", json!({ "preferred_username": "bob" }))).await,
        "bob"
    );
    assert_eq!(
        called(of(
            "s2",
            json!({ "name": " ", "preferred_username": "bob" })
        ))
        .await,
        "bob"
    );
    assert_eq!(called(of("s3", json!({ "name": null }))).await, "s3");
    assert_eq!(called(of(" ", json!({}))).await, "somebody");
    assert_eq!(
        called(of("s4", json!({ "name": "\u{0}a\u{0}b" }))).await,
        "ab"
    );
    assert_eq!(
        called(of("s5", json!({ "name": "ä".repeat(100) }))).await,
        "ä".repeat(64)
    );
    assert_eq!(
        verifier.check(&of("s6", json!({ "name": 7 })), NOW).await,
        Err(TokenError::Claim("name"))
    );
}

#[tokio::test]
async fn a_server_without_an_audience_refuses_tokens_that_have_one() {
    let verifier = Verifier::start().await;
    let claims = |aud: Value| json!({ "sub": "ann", "exp": NOW + 60, "aud": aud });
    assert_eq!(
        verifier.check(&claims(json!("other")), NOW).await,
        Err(TokenError::Audience)
    );
    assert_eq!(
        verifier.check(&claims(json!(["other"])), NOW).await,
        Err(TokenError::Audience)
    );
    for unreadable in [
        json!({}),
        json!(7),
        json!(true),
        json!([["other"]]),
        json!([{}]),
        json!([7]),
        json!([null]),
    ] {
        let refused = verifier.check(&claims(unreadable.clone()), NOW).await;
        assert_eq!(refused, Err(TokenError::Claim("aud")), "{unreadable}");
    }
    for no_audience in [json!(null), json!([])] {
        assert!(verifier.check(&claims(no_audience), NOW).await.is_ok());
    }
    let verifier = Verifier::with(|settings| settings.audience = Some("us".to_owned())).await;
    for us in [json!("us"), json!(["them", "us"])] {
        assert!(verifier.check(&claims(us), NOW).await.is_ok());
    }
    assert_eq!(
        verifier.check(&claims(json!(["us", ["them"]])), NOW).await,
        Err(TokenError::Claim("aud"))
    );
}
