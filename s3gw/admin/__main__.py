"""``python -m s3gw.admin`` is ``s3gw-admin``."""

from s3gw.admin.main import main

if __name__ == "__main__":
    raise SystemExit(main())
