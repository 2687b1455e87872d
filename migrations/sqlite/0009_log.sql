-- The tamper-evident log: C2SP tlog-tiles over the events. All its tables only ever grow, except for the one row
-- of the current generation in `log`.
--
-- An entry keeps its bytes: a token block outlives its tokens, and neither a later release nor an edited event
-- may change what was signed. It keeps its hash too. So any part of a tile of level 0 is one range of rows, and
-- a changed entry is told from a changed hash. The tiles above have one hash for each 256 of the level below, in
-- `log_node`. The nodes between are computed from at most 256 hashes. Nothing is stored for a width of a tile,
-- and a pass inserts rows without rewriting any tile.

-- One row for each generation of the store, with the newest checkpoint of its log. Earlier checkpoints follow
-- from the entries.
create table log (
    generation integer primary key,
    origin text not null,
    size integer not null,
    note text,
    at integer not null
) strict;

-- `first_id` and `last_id`: the event, or the first and the last token of a block (`tokens`).
create table log_entry (
    position integer primary key,
    tokens integer not null,
    first_id integer not null,
    last_id integer not null,
    hash blob not null,
    entry blob not null,
    unique (tokens, last_id)
) strict;

create table log_node (
    level integer not null,
    position integer not null,
    hash blob not null,
    primary key (level, position)
) strict, without rowid;
