"""``python -m s3gw.admin`` is ``s3gw-admin``."""

from s3gw.admin.main import main

raise SystemExit(main())
