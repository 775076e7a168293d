//! Users, the signing key, identities and revocations.

use switchboard::domain::{Identity, Revocation, Subject, Timestamp, TokenId, UserId, UserName};
use uuid::Uuid;

use crate::support::{NOW, Store, user};

pub(crate) async fn users_and_the_signing_key_are_stored(store: &impl Store) {
    let ann = user(store, "ann").await;
    assert_eq!(store.user(&ann.id).await.unwrap(), Some(ann));
    assert_eq!(
        store
            .user(&UserId::from_uuid(Uuid::now_v7()))
            .await
            .unwrap(),
        None
    );
    assert_eq!(store.signing_key([1; 32]).await.unwrap(), [1; 32]);
    assert_eq!(store.signing_key([2; 32]).await.unwrap(), [1; 32]);
}

pub(crate) async fn an_identity_is_one_user_whose_name_is_updated(store: &impl Store) {
    let identity = |issuer: &str| Identity {
        issuer: issuer.to_owned(),
        subject: "auth0|ann".to_owned(),
    };
    let given = |name: &str, named_at: i64| Subject {
        user: UserId::from_uuid(Uuid::now_v7()),
        name: UserName::new(name).unwrap(),
        named_at: Timestamp(named_at),
    };
    let first = given("Ann", 10);
    assert_eq!(
        store.subject(&identity("a"), &first, NOW).await.unwrap(),
        first
    );
    let name = async || {
        store
            .user(&first.user)
            .await
            .unwrap()
            .unwrap()
            .name
            .to_string()
    };
    // The stored user is returned, whatever the id of the candidate.
    for (candidate, kept, named_at) in [
        (given("Ann", 99), "Ann", 10),
        (given("Older", 9), "Ann", 10),
        (given("As old", 10), "Ann", 10),
        (given("Newer", 11), "Newer", 11),
        (given("Ann", 10), "Newer", 11),
    ] {
        let found = store
            .subject(&identity("a"), &candidate, NOW)
            .await
            .unwrap();
        assert_eq!(
            (found.user, found.name.as_str(), found.named_at),
            (first.user, kept, Timestamp(named_at))
        );
        assert_eq!(name().await, kept);
    }
    assert_eq!(
        store.user(&first.user).await.unwrap().unwrap().created_at,
        NOW
    );
    assert_ne!(
        store
            .subject(&identity("b"), &given("Ann", 10), NOW)
            .await
            .unwrap()
            .user,
        first.user
    );
}

pub(crate) async fn revocations_are_kept_until_they_expire(store: &impl Store) {
    let token = |byte: u8| TokenId([byte; 16]);
    let later = |seconds: i64| Timestamp(NOW.0 + seconds * 1_000_000);
    assert_eq!(
        (
            store.revocations_head().await.unwrap(),
            store.revocations(0, 9).await.unwrap()
        ),
        (0, vec![])
    );
    for (byte, seconds) in [(1, 10), (2, 30), (3, 20), (2, 40)] {
        store
            .revoke(token(byte), later(seconds), NOW)
            .await
            .unwrap();
    }
    // Revoking a token again changes nothing.
    let all = store.revocations(0, 9).await.unwrap();
    let kept = |all: &[Revocation]| {
        all.iter()
            .map(|one| (one.token, one.expires_at))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        kept(&all),
        [
            (token(1), later(10)),
            (token(2), later(30)),
            (token(3), later(20))
        ]
    );
    assert!(all.is_sorted_by(|one, next| one.number < next.number));
    assert_eq!(store.revocations_head().await.unwrap(), all[2].number);
    assert_eq!(store.revocations(all[0].number, 9).await.unwrap(), all[1..]);
    assert_eq!(store.revocations(0, 2).await.unwrap(), all[..2]);
    assert_eq!(store.revocations(u64::MAX, 9).await.unwrap(), []);
    assert!(
        store.is_revoked(token(1)).await.unwrap() && !store.is_revoked(token(4)).await.unwrap()
    );
    store.revoke(token(4), later(50), later(20)).await.unwrap();
    assert_eq!(
        kept(&store.revocations(0, 9).await.unwrap()),
        [(token(2), later(30)), (token(4), later(50))]
    );
    assert!(!store.is_revoked(token(3)).await.unwrap());
    // A number is never used again, so a reader that continues after it misses nothing.
    let last = store.revocations_head().await.unwrap();
    store.revoke(token(5), later(100), later(60)).await.unwrap();
    assert_eq!(
        kept(&store.revocations(last, 9).await.unwrap()),
        [(token(5), later(100))]
    );
}
