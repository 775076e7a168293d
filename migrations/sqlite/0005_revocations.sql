-- What is signed out is a log as well: every process reads it from where it stands, so that each hears of it. Numbers are
-- never given twice, also not when the last ones have expired.
create table revocations_new (
    number     integer primary key autoincrement,
    token      blob    not null unique, -- 16 bytes of a hash, never the token
    expires_at integer not null
) strict;
insert into revocations_new (token, expires_at) select token, expires_at from revocations order by expires_at;
drop table revocations;
alter table revocations_new rename to revocations;
create index revocations_by_expiry on revocations (expires_at);
