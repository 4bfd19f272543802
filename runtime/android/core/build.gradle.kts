import org.jetbrains.kotlin.gradle.dsl.JvmTarget

plugins {
    alias(libs.plugins.kotlin.jvm)
    `maven-publish`
}

java {
    sourceCompatibility = JavaVersion.VERSION_1_8
    targetCompatibility = JavaVersion.VERSION_1_8
}

kotlin {
    explicitApi()
}

tasks.compileKotlin {
    compilerOptions {
        jvmTarget = JvmTarget.JVM_1_8
        freeCompilerArgs.add("-Xjdk-release=8")
    }
}

// JUnit wants Java 17. There is no Java to compile, but by its target Gradle chooses what the tests may depend on.
tasks.compileTestJava {
    sourceCompatibility = JavaVersion.VERSION_17.toString()
    targetCompatibility = JavaVersion.VERSION_17.toString()
}

tasks.compileTestKotlin {
    compilerOptions {
        jvmTarget = JvmTarget.JVM_17
    }
}

dependencies {
    testImplementation(libs.junit)
    testRuntimeOnly(libs.junit.launcher)
}

// `make test` in the folder above builds the native library and writes the vectors.
tasks.test {
    useJUnitPlatform()
    systemProperty("java.library.path", rootDir.resolve("build/core/linux-x86_64").path)
    systemProperty("edgebert.vectors", rootDir.resolve("build/vectors").path)
}

publishing {
    publications.register<MavenPublication>("release") {
        artifactId = "runtime-core"
        from(components["java"])
    }
}
