from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["s3gw", "s3gw.*"]), "twisted.plugins"],
    package_data={"s3gw": ["py.typed"], "twisted.plugins": ["s3gw_plugin.py"]},
)
