// AGP's built-in Kotlin is older than the library's, and could not read its classes.
buildscript {
    dependencies {
        classpath("org.jetbrains.kotlin:kotlin-gradle-plugin:${libs.versions.kotlin.get()}")
    }
}

plugins {
    id("com.android.application") version libs.versions.agp.get() apply false
}
