select lines from {{ ref('long_read') }}
