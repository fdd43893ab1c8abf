"""What the recorders of several frameworks share: reading objects of packages that change, tags, parts, stores."""
