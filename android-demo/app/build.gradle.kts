import org.jetbrains.kotlin.gradle.dsl.JvmTarget

plugins {
    id("com.android.application")
}

android {
    namespace = "com.edgebert.demo"
    compileSdk = libs.versions.compileSdk.get().toInt()
    defaultConfig {
        applicationId = "com.edgebert.demo"
        minSdk = libs.versions.minSdk.get().toInt()
        targetSdk = libs.versions.targetSdk.get().toInt()
        versionName = "0.1.0"
        versionCode = 100
        ndk {
            abiFilters += listOf("arm64-v8a", "x86_64")
        }
    }
    buildTypes {
        release {
            isMinifyEnabled = true
            isShrinkResources = true
            proguardFiles(getDefaultProguardFile("proguard-android-optimize.txt"), "proguard-rules.pro")
        }
    }
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_1_8
        targetCompatibility = JavaVersion.VERSION_1_8
    }
    // `make bundles BUNDLES="a.edgebert"` puts them there.
    sourceSets.named("main") {
        assets.srcDir(rootDir.resolve("build/assets"))
    }
    androidResources {
        noCompress += "edgebert"
    }
}

kotlin {
    compilerOptions {
        jvmTarget = JvmTarget.JVM_1_8
    }
}

// Every engine, so that they can be compared. The bundles of one that is left out are refused in one sentence.
dependencies {
    implementation("com.edgebert:runtime-android")
    implementation(libs.onnxruntime)
    implementation(libs.litert)
    implementation(libs.executorch)
}
