import java.io.IOException;
import java.io.InputStream;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;
import java.util.jar.JarOutputStream;
import org.objectweb.asm.ClassReader;
import org.objectweb.asm.ClassVisitor;
import org.objectweb.asm.ClassWriter;
import org.objectweb.asm.MethodVisitor;
import org.objectweb.asm.Opcodes;

/**
 * Makes a jar that dex2jar wrote fit for the JVM's verifier. dex2jar leaves the stack-map frames out, and calls methods that an
 * interface inherits as if the interface were a class.
 *
 * <p>usage: FixDexJar IN.jar OUT.jar LIBRARY.jar...
 */
public final class FixDexJar {
    private final ClassLoader classes;

    private FixDexJar(ClassLoader classes) {
        this.classes = classes;
    }

    public static void main(String[] arguments) throws IOException {
        List<URL> jars = new ArrayList<>();
        for (int i = 0; i < arguments.length; i++) if (i != 1) jars.add(Path.of(arguments[i]).toUri().toURL());
        try (URLClassLoader loader = new URLClassLoader(jars.toArray(new URL[0]), ClassLoader.getPlatformClassLoader());
                JarFile in = new JarFile(arguments[0]);
                JarOutputStream out = new JarOutputStream(java.nio.file.Files.newOutputStream(Path.of(arguments[1])))) {
            FixDexJar fixer = new FixDexJar(loader);
            for (JarEntry entry : Collections.list(in.entries())) {
                // Annotations' default values do not survive the way to dex and back, and Kotlin's reflection wants these.
                if (!entry.getName().endsWith(".class") || entry.getName().equals("kotlin/Metadata.class")) continue;
                out.putNextEntry(new JarEntry(entry.getName()));
                try (InputStream content = in.getInputStream(entry)) {
                    out.write(fixer.fixed(content.readAllBytes()));
                }
            }
        }
    }

    private byte[] fixed(byte[] content) {
        ClassWriter writer = new ClassWriter(ClassWriter.COMPUTE_FRAMES) {
            @Override
            protected ClassLoader getClassLoader() {
                return classes; // where it looks for the common superclass of two types
            }

            @Override
            protected String getCommonSuperClass(String first, String second) {
                try {
                    return super.getCommonSuperClass(first, second);
                } catch (TypeNotPresentException error) {
                    return "java/lang/Object"; // of an engine's library that this app does not have
                }
            }
        };
        ClassReader reader = new ClassReader(content);
        reader.accept(new ClassVisitor(Opcodes.ASM9, writer) {
            @Override
            public MethodVisitor visitMethod(int access, String name, String type, String signature, String[] thrown) {
                return new Calls(super.visitMethod(access, name, type, signature, thrown));
            }
        }, ClassReader.SKIP_FRAMES);
        return writer.toByteArray();
    }

    private final class Calls extends MethodVisitor {
        Calls(MethodVisitor next) {
            super(Opcodes.ASM9, next);
        }

        @Override
        public void visitMethodInsn(int code, String owner, String name, String type, boolean ofInterface) {
            boolean found = ofInterface || code != Opcodes.INVOKEVIRTUAL && isInterface(owner);
            super.visitMethodInsn(code, owner, name, type, found);
        }
    }

    private boolean isInterface(String name) {
        if (name.startsWith("[")) return false;
        try {
            return Class.forName(name.replace('/', '.'), false, classes).isInterface();
        } catch (ClassNotFoundException | LinkageError error) {
            return false; // an engine that this app does not have
        }
    }
}
