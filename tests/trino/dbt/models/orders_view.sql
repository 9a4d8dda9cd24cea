{{ config(materialized='view') }}
select orderkey, custkey, orderpriority from tpch.tiny.orders
