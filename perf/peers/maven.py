"""Java libraries from Maven Central, with what they need, kept beside the other peers."""

import os
import shutil

import peer

POM = """<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>millrace</groupId><artifactId>peer</artifactId><version>1</version>
  <dependencies>{dependencies}</dependencies>
</project>
"""
DEPENDENCY = ("<dependency><groupId>{0}</groupId><artifactId>{1}</artifactId>"
              "<version>{2}</version></dependency>")


def install(name, *artifacts):
    """A folder of jars for these, each GROUP:ARTIFACT:VERSION; it is there whole or not at all."""
    peer.install_packages("openjdk-17-jdk-headless", "maven")
    folder = folder_of(name, *artifacts)
    if os.path.isdir(folder):
        return folder
    unready = folder + ".unready"
    shutil.rmtree(unready, ignore_errors=True)
    os.makedirs(unready)
    with open(os.path.join(unready, "pom.xml"), "w") as file:
        file.write(POM.format(dependencies="".join(
            DEPENDENCY.format(*artifact.split(":")) for artifact in artifacts)))
    peer.run(["mvn", "--quiet", "--batch-mode", f"-Dmaven.repo.local={peer.CACHE}/maven",
              "dependency:copy-dependencies", "-DincludeScope=runtime",
              f"-DoutputDirectory={unready}"], cwd=unready)
    os.rename(unready, folder)
    return folder


def folder_of(name, *artifacts):
    version = artifacts[0].split(":")[2]
    return os.path.join(peer.CACHE, f"{name}-{version}")
