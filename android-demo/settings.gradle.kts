// For Android Studio. The library is built from its sources beside this project, with its versions.
pluginManagement {
    repositories {
        google()
        mavenCentral()
        gradlePluginPortal()
    }
}
dependencyResolutionManagement {
    repositoriesMode = RepositoriesMode.FAIL_ON_PROJECT_REPOS
    repositories {
        google()
        mavenCentral()
    }
    versionCatalogs {
        create("libs") {
            from(files("../runtime/android/gradle/libs.versions.toml"))
        }
    }
}

rootProject.name = "edgebert-demo"
include(":app")

includeBuild("../runtime/android") {
    dependencySubstitution {
        substitute(module("com.edgebert:runtime-android")).using(project(":library"))
    }
}
