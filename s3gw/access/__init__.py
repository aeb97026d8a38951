"""Who may do what: access control lists, bucket policies and the one function that decides. Values in, values out."""
