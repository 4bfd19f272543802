import org.jetbrains.kotlin.gradle.dsl.JvmTarget

plugins {
    alias(libs.plugins.android.library)
    `maven-publish`
}

android {
    namespace = "com.edgebert.runtime"
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
    sourceSets.named("main") {
        jniLibs.srcDir(rootDir.resolve("build/core/android"))
        // The engines' adapters; Maven builds each apart, for their tests.
        for (engine in listOf("onnxruntime", "tflite", "executorch")) {
            kotlin.srcDir(rootDir.resolve("engines/$engine/src/main/kotlin"))
        }
    }
    // Its tests want JUnit and play Android's classes: they run in the Maven build.
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
    // The app adds the one whose bundles it has.
    compileOnly(libs.onnxruntime)
    compileOnly(libs.litert)
    compileOnly(libs.executorch)
}

// libedgebert.so for both ABIs, by clang and lld alone.
val nativeCore by tasks.registering(Exec::class) {
    val build = rootDir.resolve("build/core")
    commandLine("make", "-s", "-C", rootDir.resolve("../core").path, "BUILD=${build.path}", "android")
}
tasks.named("preBuild") { dependsOn(nativeCore) }

publishing {
    publications.register<MavenPublication>("release") {
        artifactId = "runtime-android"
        afterEvaluate { from(components["release"]) }
    }
}
