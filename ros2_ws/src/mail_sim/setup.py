from setuptools import find_packages, setup

package_name = "mail_sim"

setup(
    name=package_name,
    version="0.1.0",
    packages=find_packages(),
    package_data={"mail_sim.world": ["initial_states.json"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{package_name}"]),
        (f"share/{package_name}", ["package.xml"]),
    ],
    install_requires=["setuptools"],
    zip_safe=True,
    entry_points={"console_scripts": ["sim_node = mail_sim.sim_node:main"]},
)
