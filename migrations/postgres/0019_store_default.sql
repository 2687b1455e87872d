-- Defaults that hold in a store which was made since they exist. A store of an earlier release keeps what it had until
-- an operator decides otherwise.
create table store_default (
    name text collate "C" primary key
);

-- Signing keys are rotated by themselves.
insert into store_default (name)
select 'rotation'
where not exists (select 1 from signing_key);
