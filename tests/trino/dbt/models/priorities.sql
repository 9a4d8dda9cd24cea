select orderpriority, count(*) as orders from {{ ref('orders_view') }} group by 1
