-- Replies to requests that may be sent again under an idempotency key, for a day. Each is written in the commit of
-- the change that it tells, and sealed under a key of the store, since it may hold a secret. Its place is a MAC of
-- the request.
create table kept_reply (
    place blob primary key not null,
    made_at integer not null,
    sealed blob not null
) strict, without rowid;

create index kept_reply_made_at on kept_reply (made_at);
