-- What tokens were issued for, once for all tokens of an agent with the same credential, scopes, audiences and
-- lifetime. Only what is seen often gets a row; anything else stands in the token's own row.
create table token_terms (
    id integer generated always as identity primary key,
    agent_id text collate "C" not null,
    credential_id uuid not null,
    scope text not null,
    audience text not null,
    ttl bigint not null,
    -- The last day with such a token, in days since 1970. Written late, and at most once a day.
    used_on integer not null,
    -- The day since which no token uses the row, and later the newest event at that time. The row goes once all
    -- events up to that one are gone.
    retired_on integer,
    retired_through bigint
);

create index token_terms_agent_id on token_terms (agent_id);

-- A number drawn anew with each change of these rows. A process that remembers the rows names this number when
-- it records tokens by them, so no row of a token can name terms that the database does not hold: not after a
-- failover or a restore either, since no two histories of the rows draw the same number.
insert into revision (name, version)
values ('terms', ('x' || right(replace(gen_random_uuid()::text, '-', ''), 16))::bit(64)::bigint & 9223372036854775807);

create function renew_terms_revision() returns trigger
language plpgsql
set search_path from current
as $$
begin
    update revision
    set version = ('x' || right(replace(gen_random_uuid()::text, '-', ''), 16))::bit(64)::bigint & 9223372036854775807
    where name = 'terms';
    return null;
end
$$;

-- For each row, since a trigger for each statement runs even if the statement changes no row.
create trigger token_terms_changed
after insert or delete or update of id, agent_id, credential_id, scope, audience, ttl, retired_on on token_terms
for each row execute function renew_terms_revision();

create trigger token_terms_emptied after truncate on token_terms
for each statement execute function renew_terms_revision();

-- One row a token, in the order of columns that needs the least room. Its ids come from the sequence of
-- "audit_event", so that all events have one order. "terms" names a row of "token_terms", without a foreign key:
-- a check for each token would lock that row. Without it, "agent_id" and "inline" (JSON) tell the terms.
-- A token expires at "at" and its lifetime.
create table token_event (
    id bigint primary key default nextval('audit_event_id_seq'),
    request bytea,
    jti uuid not null,
    at bigint not null,
    epoch bigint not null,
    terms integer,
    source bytea,
    agent_id text collate "C",
    inline text
);

create index token_event_at on token_event using brin (at) with (pages_per_range = 32, autosummarize = on);

-- A role that may insert into "audit_event" needs no right to its sequence, and needs one for a default. All that
-- the right allows is to leave ids out.
grant usage on sequence audit_event_id_seq to public;
