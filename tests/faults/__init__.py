"""What machines do to a store: power cuts, disks that fail or are full, processes that end as they like."""
