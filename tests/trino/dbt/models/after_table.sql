{{ config(materialized='view') }}
select sum(lines) as lines from {{ ref('long_table') }}
