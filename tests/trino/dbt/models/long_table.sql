-- Its own statement is the long one: a write. It comes after priorities, so that the coordinator is warm.
select returnflag, linestatus, count(*) as lines, sum(partkey) as parts
from tpch.sf2.lineitem
where (select count(*) from {{ ref('priorities') }}) > 0
group by 1, 2
