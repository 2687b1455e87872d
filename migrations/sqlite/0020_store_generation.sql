-- Which generation of the store this is, in one row. A generation begins when an operator acknowledges that a
-- backup was restored.
create table store_generation (
    single integer primary key not null check (single = 1),
    generation integer not null,
    -- Since when the store is known to be restored without an acknowledgement.
    restored_at integer,
    -- Names the run of the server that has the file open, or is 0. While there is one, the file's newest changes
    -- lie in its log, and a copy of the file alone lacks them.
    in_use integer not null
) strict;

insert into store_generation (single, generation, in_use) values (1, 1, 0);
