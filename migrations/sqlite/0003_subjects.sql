-- Whom an identity provider named, and the user who stands for them here.
create table subjects (
    issuer   text    not null,
    subject  text    not null,
    user_id  text    not null references users (id),
    named_at integer not null, -- when the provider gave the name that the user has
    primary key (issuer, subject)
) strict, without rowid;

-- Tokens that were signed out, until they would have expired.
create table revocations (
    token      blob    not null primary key, -- 16 bytes of a hash, never the token
    expires_at integer not null
) strict, without rowid;

create index revocations_by_expiry on revocations (expires_at);
