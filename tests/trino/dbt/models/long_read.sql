-- A long read comes before its own statement, which writes a view.
{{ config(materialized='view') }}
{% if execute %}
  {% set lines = run_query("select count(*), sum(partkey) from tpch.sf2.lineitem where suppkey > (select count(*) from " ~ ref('priorities') ~ ") - 5").columns[0].values()[0] %}
{% endif %}
select {{ lines or 0 }} as lines from {{ ref('priorities') }} limit 1
