import org.jetbrains.kotlin.gradle.dsl.JvmTarget

plugins {
    alias(libs.plugins.android.library)
    `maven-publish`
}

android {
    namespace = "com.edgebert.runtime.engines.executorch"
    compileSdk = libs.versions.compileSdk.get().toInt()
    defaultConfig {
        minSdk = libs.versions.minSdk.get().toInt()
        consumerProguardFiles("consumer-rules.pro")
    }
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_1_8
        targetCompatibility = JavaVersion.VERSION_1_8
    }
    lint {
        targetSdk = libs.versions.targetSdk.get().toInt()
    }
    // Its tests want JUnit and play ExecuTorch's classes: they run in the Maven build.
    sourceSets.named("test") {
        kotlin.setSrcDirs(emptyList<String>())
    }
    publishing {
        singleVariant("release")
    }
}

kotlin {
    explicitApi()
    compilerOptions {
        jvmTarget = JvmTarget.JVM_1_8
    }
}

dependencies {
    api(project(":core"))
    compileOnly(libs.executorch)
}

publishing {
    publications.register<MavenPublication>("release") {
        artifactId = "engine-executorch"
        afterEvaluate { from(components["release"]) }
    }
}
